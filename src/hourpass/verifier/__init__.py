"""The API's side: accepting access tokens."""
