/** Where the program is: the path of its public address, found from where this file was loaded. */

/** The path under which everything is, without a slash at its end; empty where it is the host's root. */
export const HERE = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/** The address of a file that lies beside this one. */
export const beside = (name: string) => new URL(name, import.meta.url).href;
