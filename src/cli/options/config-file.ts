import { readFile } from 'node:fs/promises'
import { type Document, LineCounter, type Node, type Pair, isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml'
import { UsageError, errorMessage } from '../../base/errors.ts'
import { closest } from '../../base/closest.ts'
import { type OptionTable, nameOfKey } from './option-table.ts'
import type { Given, GivenOptions } from './given.ts'

/** The part of a command that the reader uses. */
export interface KnownCommand {
  readonly name: string
  readonly options: OptionTable
}

/**
 * What a YAML file gives to one command. Keys at the top level are for every command with such an option; they are
 * overridden by the map under the command's name. Throws `USAGE`, with file and line, if the file cannot be read or has
 * a key that is no option of any command, also in other commands' maps.
 */
export async function readConfigFile(
  file: string,
  command: KnownCommand,
  commands: readonly KnownCommand[],
): Promise<GivenOptions[]> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new UsageError(`--config ${file}: ${errorMessage(error)}`, { cause: error })
  })
  return parseConfigFile(text, file, command, commands)
}

/** As `readConfigFile`, for a file's text. Returns the command's own map first, then the top level. */
export function parseConfigFile(
  text: string,
  file: string,
  command: KnownCommand,
  commands: readonly KnownCommand[],
): GivenOptions[] {
  const reader = new Reader(text, file)
  const common = new Map<string, Given>()
  const own = new Map<string, Given>()
  const all = Object.assign({}, ...commands.map(({ options }) => options)) as OptionTable
  const topKeys = { table: all, words: [...Object.keys(all), ...commands.map(({ name }) => name)] }
  for (const entry of reader.entries(reader.root)) {
    const { key, node } = entry
    const section =
      isMap(node) || !Object.hasOwn(all, nameOfKey(key)) ? commands.find(({ name }) => name === key) : undefined
    if (section === undefined) {
      const name = reader.addTo(common, entry, topKeys)
      if (!Object.hasOwn(command.options, name)) common.delete(name)
      continue
    }
    const given = section.name === command.name ? own : new Map<string, Given>()
    const keys = { table: section.options, words: Object.keys(section.options) }
    for (const inner of reader.entries(node))
      reader.addTo(given, { ...inner, where: `${inner.where}, ${section.name}` }, keys)
  }
  return [own, common]
}

/** A key of the file, and its value. */
interface Entry {
  readonly key: string
  readonly node: Node | null
  /** File and line, with which messages begin. */
  readonly where: string
}

/** Which keys a map may have. */
interface KnownKeys {
  readonly table: OptionTable
  /** What a key that is none may have been meant as. */
  readonly words: readonly string[]
}

/** Reads the maps of one file. */
class Reader {
  readonly #document: Document
  readonly #file: string
  readonly #lines = new LineCounter()

  constructor(text: string, file: string) {
    this.#file = file
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false })
    const [error] = this.#document.errors
    if (error !== undefined) throw new UsageError(`${this.#where(error.pos[0])}: ${error.message}`)
  }

  get root(): Node | null {
    return this.#document.contents as Node | null
  }

  entries(node: Node | null): Entry[] {
    if (node === null || (isScalar(node) && node.value === null)) return []
    if (!isMap(node))
      throw new UsageError(`${this.#where(node.range?.[0] ?? 0)}: expected options, one to a line, like "threads: 4"`)
    return node.items.map((pair) => this.#entry(pair as Pair<Node, Node | null>))
  }

  /** Checks a key and adds its value to the given options; returns the option's name. */
  addTo(given: Map<string, Given>, { key, node, where }: Entry, { table, words }: KnownKeys): string {
    const name = nameOfKey(key)
    if (name === 'config' || !Object.hasOwn(table, name)) throw unknownKey(where, key, words)
    if (given.has(name)) throw new UsageError(`${where}, ${key}: the option stands here twice`)
    const texts = this.#texts(node, `${where}, ${key}`)
    if (texts !== undefined) given.set(name, { texts, label: `${where}, ${key}: ` })
    return name
  }

  #entry({ key, value }: Pair<Node, Node | null>): Entry {
    const where = this.#where(key.range?.[0] ?? 0)
    if (!isScalar(key)) throw new UsageError(`${where}: a key must be the name of an option`)
    return { key: String(key.value), node: value, where }
  }

  /** The texts of a value; undefined for a key without a value. */
  #texts(node: Node | null, label: string): string[] | undefined {
    const target = isAlias(node) ? node.resolve(this.#document) : node
    if (isSeq(target)) return target.items.flatMap((item) => this.#texts(item as Node | null, label) ?? [])
    if (target === null || (isScalar(target) && target.value === null)) return undefined
    if (!isScalar(target)) throw new UsageError(`${label}: expected a value or a list of values`)
    // As it is written in the file: 1e3 or 007 may be meant as text.
    return [typeof target.value === 'string' ? target.value : (target.source ?? String(target.value))]
  }

  #where(offset: number): string {
    return `${this.#file}, line ${this.#lines.linePos(offset).line}`
  }
}

function unknownKey(where: string, key: string, candidates: readonly string[]): UsageError {
  if (nameOfKey(key) === 'config') return new UsageError(`${where}, ${key}: a file cannot name another`)
  const near = closest(nameOfKey(key), candidates)
  return new UsageError(`${where}: there is no option ${key}${near === undefined ? '' : `: did you mean ${near}?`}`)
}
