import { createRequire } from 'node:module'
import type Protobuf from 'protobufjs'

const bundle = createRequire(import.meta.url)('protobufjs/dist/protobuf.min.js') as typeof Protobuf

/**
 * Parses a schema in the language of .proto files. Uses protobufjs's build in one file: its usual entry would open 45
 * files.
 */
export function parseSchema(schema: string, options?: Protobuf.IParseOptions): Protobuf.Root {
  return bundle.parse(schema, options).root
}
