"""The pages: sources in TypeScript, and the tool that builds them. No room of the program imports it."""
