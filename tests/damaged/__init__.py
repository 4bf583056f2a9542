"""Damaged inputs by the million: messages, files of areas, rosters and requests that nobody should send.

Each starts as a sound one or as one that is known to be hostile, and is cut, doubled, mixed with others and
filled with what such forms stumble over. Whatever comes, the answer is a value or the error that says so.
"""
