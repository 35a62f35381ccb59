import { isJsonObject, type JsonObject } from '../../../checkpoint/files/json.ts'
import type { ChatMessage } from '../../chat/messages.ts'
import { DatasetError } from './dataset.ts'

/** A label as data name it: a text, a number, or a 0 to 1 for each label. */
export type RawLabel = string | number | readonly number[]

/** What one line of data, or one item of a list, says. */
export type DataRecord =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'ids'; readonly ids: readonly number[] }
  | { readonly kind: 'completion'; readonly prompt: string; readonly completion: string }
  | { readonly kind: 'chat'; readonly messages: readonly ChatMessage[] }
  | { readonly kind: 'labelled'; readonly text: string | readonly number[]; readonly label: RawLabel }

const FORMS =
  '{"text": "..."}, {"prompt": "...", "completion": "..."}, {"messages": [{"role": "user", "content": "..."}, ...]} ' +
  'or {"text": "...", "label": ...}'

const ROLES: readonly unknown[] = ['system', 'user', 'assistant']

/**
 * Reads one item. `where` names it in messages. Fields that are not known are passed over. Throws `DATASET_RECORD`,
 * naming the item, the field and what is expected.
 */
export function parseRecord(value: unknown, where: string): DataRecord {
  if (typeof value === 'string') return { kind: 'text', text: value }
  if (Array.isArray(value)) return { kind: 'ids', ids: idsOf(value, where, 'the list') }
  if (!isJsonObject(value)) throw refused(where, `${shown(value)} is no object`, `expected ${FORMS}`)
  if (value['messages'] !== undefined) return { kind: 'chat', messages: messagesOf(value['messages'], where) }
  if (value['prompt'] !== undefined || value['completion'] !== undefined)
    return {
      kind: 'completion',
      prompt: textOf(value, 'prompt', where),
      completion: textOf(value, 'completion', where),
    }
  const ids = value['ids'] === undefined ? undefined : idsOf(value['ids'], where, 'ids')
  if (ids === undefined && value['text'] === undefined) {
    const keys = Object.keys(value).slice(0, 8).join(', ')
    throw refused(where, keys === '' ? 'it has no fields' : `it has ${keys}`, `expected ${FORMS}`)
  }
  if (value['label'] !== undefined)
    return { kind: 'labelled', text: ids ?? textOf(value, 'text', where), label: labelOf(value['label'], where) }
  return ids === undefined ? { kind: 'text', text: textOf(value, 'text', where) } : { kind: 'ids', ids }
}

/** The error of an item: where it is, what is wrong, and what to do. */
export function refused(where: string, problem: string, cure: string): DatasetError {
  return new DatasetError('DATASET_RECORD', `${where}: ${problem}: ${cure}`)
}

function textOf(record: JsonObject, field: string, where: string): string {
  const text = record[field]
  if (typeof text === 'string') return text
  throw refused(where, `${field} is ${shown(text)}`, 'expected a text')
}

function idsOf(value: unknown, where: string, what: string): number[] {
  if (Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && id >= 0)) return value as number[]
  throw refused(where, `${what} ${shown(value)}`, 'expected token ids, integers from 0')
}

function labelOf(value: unknown, where: string): RawLabel {
  if (typeof value === 'string' || Number.isFinite(value)) return value as string | number
  if (typeof value === 'boolean') return Number(value)
  const isList = Array.isArray(value) && value.length > 0
  if (isList && value.every((each) => typeof each === 'number' && each >= 0 && each <= 1)) return value as number[]
  throw refused(where, `label is ${shown(value)}`, 'expected a number, a text, or a list of numbers from 0 to 1')
}

function messagesOf(value: unknown, where: string): ChatMessage[] {
  if (!Array.isArray(value)) throw refused(where, `messages is ${shown(value)}`, 'expected a list of messages')
  const messages = value.map((message: unknown, i): ChatMessage => {
    const { role, content } = isJsonObject(message) ? message : {}
    if (!ROLES.includes(role))
      throw refused(where, `role of message ${i} is ${shown(role)}`, `expected one of ${ROLES.join(', ')}`)
    if (typeof content !== 'string')
      throw refused(where, `content of message ${i} is ${shown(content)}`, 'expected a text')
    return { role: role as ChatMessage['role'], content }
  })
  if (messages.some(({ role }) => role === 'assistant')) return messages
  throw refused(where, 'no message is of the assistant', 'there is nothing to learn: add an answer, or take it out')
}

function shown(value: unknown): string {
  return value === undefined ? 'missing' : JSON.stringify(value).slice(0, 80)
}
