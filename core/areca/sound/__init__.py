"""Decode, check and resample recordings from files and arrays. `areca.audio` is the public interface."""
