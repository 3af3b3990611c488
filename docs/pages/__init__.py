"""The reference pages whose facts stand in the code, a module each: ``make()`` returns the page's Markdown."""
