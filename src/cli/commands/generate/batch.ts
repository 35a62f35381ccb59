import { type FileHandle, open } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { UsageError, errorCode, errorMessage } from '../../../base/errors.ts'
import { isJsonObject } from '../../../checkpoint/files/json.ts'
import { MAX_SESSIONS } from '../../../client/generation/together.ts'
import type { GenerationResult } from '../../../client/generation/result.ts'
import type { Prompt } from '../../../client/model/model.ts'
import { inOrder } from './in-order.ts'
import { STDIN } from './prompt.ts'

/** Generates the texts of the prompt that is the batch's `index`-th, from 0. */
export type GenerateTexts = (prompt: Prompt, index: number) => Promise<readonly GenerationResult[]>

/** What became of one line, as it is printed; `line` counts from 1. */
export interface BatchLine {
  readonly line: number
  /** The line's own, if it has one. */
  readonly id?: unknown
  readonly results?: readonly GenerationResult[]
  readonly error?: { readonly code: string; readonly message: string }
}

interface InputLine {
  readonly line: number
  readonly text: string
}

/**
 * Generates texts for each line of JSON in a file, or on stdin; up to 16 sessions are open at a time. Gives the lines'
 * results in their order. A line that fails takes no other along. Throws `USAGE` if the file cannot be read.
 */
export async function* generateLines(
  file: string,
  { textsEach, generate }: { readonly textsEach: number; readonly generate: GenerateTexts },
): AsyncGenerator<BatchLine> {
  let index = 0
  yield* inOrder(inputLines(file), Math.max(1, Math.floor(MAX_SESSIONS / textsEach)), async ({ line, text }) => {
    let id: unknown
    try {
      const { prompt, ...own } = readLine(text)
      id = own.id
      return { line, ...own, results: await generate(prompt, index++) }
    } catch (error) {
      return { line, ...(id !== undefined && { id }), error: { code: errorCode(error), message: errorMessage(error) } }
    }
  })
}

/** The lines that are not empty. */
async function* inputLines(file: string): AsyncGenerator<InputLine> {
  const handle = file === STDIN ? undefined : await openFile(file)
  const input = handle?.createReadStream() ?? process.stdin
  let line = 0
  for await (const text of createInterface({ input, crlfDelay: Infinity })) {
    line++
    if (text.trim() !== '') yield { line, text }
  }
}

async function openFile(file: string): Promise<FileHandle> {
  try {
    const handle = await open(file)
    if ((await handle.stat()).isDirectory()) throw new Error('it is a folder')
    return handle
  } catch (error) {
    throw new UsageError(`--batch ${file}: ${errorMessage(error)}`, { cause: error })
  }
}

/** Reads a line: a text, token ids, or an object with one of these as `prompt`, and an `id`. Throws `USAGE`. */
export function readLine(text: string): { readonly prompt: Prompt; readonly id?: unknown } {
  const value = parse(text)
  if (isPrompt(value)) return { prompt: value }
  const prompt = isJsonObject(value) ? value['prompt'] : undefined
  if (!isJsonObject(value) || !isPrompt(prompt))
    throw new UsageError(`expected a JSON text, an array of token ids, or {"prompt": one of these}, not ${shown(text)}`)
  return { prompt, ...(value['id'] !== undefined && { id: value['id'] }) }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${shown(text)} is no JSON: ${errorMessage(error)}`, { cause: error })
  }
}

function isPrompt(value: unknown): value is Prompt {
  if (typeof value === 'string') return true
  return Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && (id as number) >= 0)
}

function shown(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}
