"""The live page's API and stream: figures, units, officers and alerts."""
