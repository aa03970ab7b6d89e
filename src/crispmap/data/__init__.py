"""Where samples come from: windows over scenes, from folders or made up."""
