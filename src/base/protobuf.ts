import { createRequire } from 'node:module'
import type Protobuf from 'protobufjs'

const bundle = createRequire(import.meta.url)('protobufjs/dist/protobuf.min.js') as typeof Protobuf

/** The types of a schema in the language of .proto files. protobufjs as its one file: 45 would be opened otherwise. */
export function parseSchema(schema: string, options?: Protobuf.IParseOptions): Protobuf.Root {
  return bundle.parse(schema, options).root
}
