"""The pictures of the root README, made from the simulator with a fixed seed: ``make pictures``.

Read ``weeks`` (the weeks that the summary is of), then ``__main__`` (who draws them).
"""
