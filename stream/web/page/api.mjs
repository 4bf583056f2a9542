// Writes src/api.ts, the types of all that the API says, from its OpenAPI document: node api.mjs [document [target]].
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const PLAIN = { string: "string", number: "number", integer: "number", boolean: "boolean" };

const nameOf = (reference) => reference.split("/").at(-1);
const key = (name) => (/^\w+$/.test(name) ? name : JSON.stringify(name));
const remark = (schema, indent) => (schema.description ? `${indent}/** ${schema.description} */\n` : "");
const inList = (text) => (/ [|&] /.test(text) ? `(${text})` : text);

/** A schema of OpenAPI 3.0 in the words of TypeScript. */
function typeOf(schema, indent = "") {
  if (schema.$ref) return nameOf(schema.$ref);
  if (schema.enum) return [...new Set([...schema.enum, ...(schema.nullable ? [null] : [])])].map((value) => JSON.stringify(value)).join(" | ");
  const words = schema.anyOf
    ? schema.anyOf.map((item) => typeOf(item, indent)).join(" | ")
    : schema.allOf
      ? schema.allOf.map((item) => inList(typeOf(item, indent))).join(" & ")
      : schema.type === "array"
        ? listOf(schema, indent)
        : schema.properties
          ? `{\n${fieldsOf(schema, `${indent}  `)}${indent}}`
          : schema.type === "object"
            ? `Record<string, ${schema.additionalProperties?.type ? typeOf(schema.additionalProperties, indent) : "unknown"}>`
            : (PLAIN[schema.type] ?? "unknown");
  return schema.nullable ? `${words} | null` : words;
}

function listOf(schema, indent) {
  const places = schema["x-prefixItems"];
  if (places) return `[${places.map((item) => typeOf(item, indent)).join(", ")}]`;
  return `${inList(typeOf(schema.items ?? {}, indent))}[]`;
}

function fieldsOf(schema, indent) {
  const always = new Set(schema.required ?? []);
  return Object.entries(schema.properties)
    .map(([name, item]) => `${remark(item, indent)}${indent}${key(name)}${always.has(name) ? "" : "?"}: ${typeOf(item, indent)};\n`)
    .join("");
}

/** The types of a document's components. */
export function typesOf(document) {
  const parts = Object.entries(document.components.schemas).map(
    ([name, schema]) => `${remark(schema, "")}export type ${name} = ${typeOf(schema)};\n`,
  );
  return `// Made from deploy/openapi.json by api.mjs: not to be edited.\n\n${parts.join("\n")}`;
}

/** Writes them. */
export async function writeTypes(document = join(here, "../../../deploy/openapi.json"), target = join(here, "src/api.ts")) {
  await writeFile(target, typesOf(JSON.parse(await readFile(document, "utf8"))));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeTypes(...process.argv.slice(2));
