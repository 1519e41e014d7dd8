"""Charts over time, and their axes."""
