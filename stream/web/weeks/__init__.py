"""The weekly pages and their API: a route asks the shelf once, and a page or JSON is made of the answer."""
