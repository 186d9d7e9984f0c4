"""What a region's traits say of its being the thing that is meant."""
