"""The pages: sources in TypeScript, and the tool that builds them. No other module imports it."""
