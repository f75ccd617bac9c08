"""The generated data: scenes, reviews, insects, paintings, and what draws them."""
