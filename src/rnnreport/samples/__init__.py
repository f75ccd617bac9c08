"""The generated data: scenes, reviews, insects, paintings, and the tools that draw them."""
