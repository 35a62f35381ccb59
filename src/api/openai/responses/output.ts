import { randomUUID } from 'node:crypto'
import type { AnswerPart } from '../../../client/chat/answer/parts.ts'
import type { OutputItem } from './response.ts'
import type { CallName } from './tools.ts'

/** An event of a response; numbered by whoever sends it. */
export interface ResponseEvent {
  readonly type: string
  readonly [field: string]: unknown
}

type OpenItem =
  | { readonly kind: 'text' | 'reasoning'; readonly id: string; text: string }
  | ({ readonly kind: 'call'; readonly id: string; readonly callId: string; text: string } & CallName)

/** What an answer becomes as a response's output: items one after another, and the events that tell of them. */
export class ResponseOutput {
  readonly items: OutputItem[] = []
  readonly #callName: (flat: string) => CallName
  #open: OpenItem | undefined

  /** `callName` tells what a function is called here that the model has called. */
  constructor(callName: (flat: string) => CallName) {
    this.#callName = callName
  }

  /** Takes a part; returns what is told of it. */
  add(part: AnswerPart): ResponseEvent[] {
    switch (part.kind) {
      case 'content':
        return [...this.#beginText('text'), this.#delta('response.output_text.delta', part.text, { logprobs: [] })]
      case 'reasoning':
        return [...this.#beginText('reasoning'), this.#delta('response.reasoning_text.delta', part.text)]
      case 'tool_call':
        return this.#begin({ kind: 'call', id: newId('fc'), callId: part.id, text: '', ...this.#callName(part.name) })
      case 'tool_arguments':
        return [this.#delta('response.function_call_arguments.delta', part.text)]
    }
  }

  /** Ends the item that is open; `isCut` if there was no room for all of it. */
  end(isCut = false): ResponseEvent[] {
    const open = this.#open
    if (open === undefined) return []
    const at = { item_id: open.id, output_index: this.items.length }
    const item = itemOf(open, isCut ? 'incomplete' : 'completed')
    this.items.push(item)
    this.#open = undefined
    return [...doneEvents(open, at), { type: 'response.output_item.done', output_index: at.output_index, item }]
  }

  #beginText(kind: 'text' | 'reasoning'): ResponseEvent[] {
    if (this.#open?.kind === kind) return []
    return this.#begin({ kind, id: newId(kind === 'text' ? 'msg' : 'rs'), text: '' })
  }

  #begin(open: OpenItem): ResponseEvent[] {
    const before = this.end()
    this.#open = open
    const output_index = this.items.length
    const item = { ...itemOf(open, 'in_progress'), ...(open.kind !== 'call' && { content: [] }) }
    const added = { type: 'response.output_item.added', output_index, item }
    if (open.kind === 'call') return [...before, added]
    const part = { type: 'response.content_part.added', item_id: open.id, output_index, content_index: 0 }
    return [...before, added, { ...part, part: partOf(open.kind, '') }]
  }

  #delta(type: string, text: string, more: object = {}): ResponseEvent {
    const open = this.#open!
    open.text += text
    const content = open.kind === 'call' ? {} : { content_index: 0 }
    return { type, item_id: open.id, output_index: this.items.length, ...content, delta: text, ...more }
  }
}

function doneEvents(open: OpenItem, at: object): ResponseEvent[] {
  const { text } = open
  if (open.kind === 'call')
    return [{ type: 'response.function_call_arguments.done', ...at, name: open.name, arguments: text }]
  const place = { ...at, content_index: 0 }
  const type = open.kind === 'text' ? 'response.output_text.done' : 'response.reasoning_text.done'
  return [
    { type, ...place, text, ...(open.kind === 'text' && { logprobs: [] }) },
    { type: 'response.content_part.done', ...place, part: partOf(open.kind, text) },
  ]
}

function itemOf(open: OpenItem, status: string): OutputItem {
  const { id, text } = open
  if (open.kind === 'call')
    return { type: 'function_call', id, call_id: open.callId, ...namesIn(open), arguments: text, status }
  const content = [partOf(open.kind, text)]
  return open.kind === 'text'
    ? { type: 'message', id, role: 'assistant', status, content }
    : { type: 'reasoning', id, status, summary: [], content }
}

/** The name of a call, and its namespace where it has one. */
function namesIn({ name, namespace }: CallName): object {
  return { name, ...(namespace !== undefined && { namespace }) }
}

function partOf(kind: 'text' | 'reasoning', text: string): object {
  return kind === 'text'
    ? { type: 'output_text', text, annotations: [], logprobs: [] }
    : { type: 'reasoning_text', text }
}

function newId(prefix: string): string {
  return `${prefix}_${randomUUID().replaceAll('-', '')}`
}
