// The log-in page: it works without a script, which only keeps the section of the address that a browser does not send.

export {};
