"""Whether everything that is wanted is carried, and what is done about it when it is not."""
