import { runInNewContext } from 'node:vm'
import { Template } from '@huggingface/jinja'
import { errorMessage } from '../../base/errors.ts'
import type { ChatMessage, ChatTemplate } from './messages.ts'
import { type TemplateSource, templateError } from './template-source.ts'

/** The directives that the library's strftime_now replaces; it prints others as they are. */
const DATE_DIRECTIVES = 'YmdbBHM%'

/** Python methods that the library lacks. Its error does not name them. */
const MISSING_METHODS = new Set([
  'append',
  'count',
  'extend',
  'find',
  'format',
  'index',
  'isalpha',
  'isdigit',
  'join',
  'pop',
  'removeprefix',
  'removesuffix',
  'splitlines',
  'update',
])

/** The time limit of a template, which comes from a stranger and may loop for ever; honest ones take milliseconds. */
const RENDER_TIMEOUT_MS = 1000

/** A node of the library's syntax tree. */
interface AstNode {
  readonly type?: string
  readonly callee?: {
    readonly type?: string
    readonly value?: unknown
    readonly property?: { readonly value?: unknown }
  }
  readonly args?: readonly { readonly value?: unknown }[]
}

/**
 * Compiles a template. Throws `CHAT_TEMPLATE` for a template that the library cannot parse, or would render differently
 * from transformers, naming the feature.
 */
export function compileTemplate({ text, name, specialTokens }: TemplateSource): ChatTemplate {
  const template = orRefuse(name, 'it uses what is not supported here', () => new Template(text))
  const nodes = allNodes(template.parsed)
  const gap = nodes.map(silentGap).find((found) => found !== undefined)
  if (gap !== undefined) throw templateError(name, `it uses ${gap}, which would be rendered wrongly here`)
  const missing = nodes.map(missingMethod).filter((method) => method !== undefined)
  const suspects = missing.length === 0 ? '' : ` (${[...new Set(missing)].join(', ')})`
  return {
    render: (messages: readonly ChatMessage[]) =>
      orRefuse(name, `it refuses these messages, or uses what is not supported here${suspects}`, () =>
        withinTime(() => template.render({ ...specialTokens, messages, add_generation_prompt: true })),
      ),
  }
}

/** Runs synchronous `work`; the engine stops it and throws when the time is over. */
function withinTime<T>(work: () => T): T {
  return runInNewContext('work()', { work }, { timeout: RENDER_TIMEOUT_MS }) as T
}

function orRefuse<T>(name: string, what: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw templateError(name, `${what}: ${errorMessage(error)}`, error)
  }
}

/** The name of a feature that the library accepts but gets wrong; undefined for all others. */
function silentGap({ type, callee, args }: AstNode): string | undefined {
  // The library discards what the iteration has printed so far.
  if (type === 'Break' || type === 'Continue') return `{% ${type.toLowerCase()} %}`
  if (type !== 'CallExpression' || callee?.value !== 'strftime_now') return undefined
  const directives = [...String(args?.[0]?.value ?? '').matchAll(/%(.)/g)].map(([, letter]) => letter!)
  const unknown = directives.find((letter) => !DATE_DIRECTIVES.includes(letter))
  return unknown === undefined ? undefined : `strftime_now with %${unknown}`
}

function missingMethod({ type, callee }: AstNode): string | undefined {
  const method = type === 'CallExpression' && callee?.type === 'MemberExpression' ? callee.property?.value : undefined
  return typeof method === 'string' && MISSING_METHODS.has(method) ? `.${method}()` : undefined
}

function allNodes(node: unknown): AstNode[] {
  if (typeof node !== 'object' || node === null) return []
  return [...(Array.isArray(node) ? [] : [node as AstNode]), ...Object.values(node).flatMap(allNodes)]
}
