"""What each stage does. Heavy libraries are imported inside stage functions, never at package import."""
