"""The drill: primary → backup → primary for real, measured at each stage. What cannot be measured fails it."""
