import { stripTypeScriptTypes } from 'node:module'

/**
 * A TypeScript module as browsers can load it: without its types, and importing its neighbours as `.js`. Lines stay
 * where they are.
 */
export function browserModule(text: string): string {
  return withoutTypes(text).replaceAll(/(\bfrom '\.[^'\n]*)\.ts'/g, "$1.js'")
}

/** Node warns once that it may change how this is called; whoever runs the program can do nothing about it. */
function withoutTypes(text: string): string {
  const { emitWarning } = process
  process.emitWarning = () => undefined
  try {
    return stripTypeScriptTypes(text)
  } finally {
    process.emitWarning = emitWarning
  }
}
