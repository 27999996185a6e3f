"""The 401 strategy for each HTTP library, in a module that is named after it; each needs the extra of that name."""
