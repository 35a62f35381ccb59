import type { Constraint } from '../../../sampling/grammar/constraint.ts'
import type { JsonObject } from '../../../sampling/grammar/json/json.ts'
import type { Reasoning, ToolFormat } from './parts.ts'

/** A function that a model may call. */
export interface ToolFunction {
  readonly name: string
  /** A JSON schema of its arguments; none: it takes no arguments. */
  readonly parameters?: JsonObject | undefined
}

/** Whether a model must call a tool, or a certain one. */
export type ToolChoice = 'none' | 'auto' | 'required' | { readonly name: string }

/**
 * The constraint under which a model obeys `choice` in the way in which it writes calls, with arguments that fulfil the
 * tools' schemas: only calls, one of them unless `parallel`; or, with `auto`, any text in which a call is right once it
 * has begun. Undefined where nothing is asked. The schemas' objects have no properties that they do not declare, unless
 * they say so. Whether they can be enforced is only seen when the constraint is used (`CONSTRAINT_...`).
 */
export function toolCallConstraint(
  format: ToolFormat,
  tools: readonly ToolFunction[],
  choice: ToolChoice,
  parallel: boolean,
): Constraint | undefined {
  const usable = typeof choice === 'string' ? tools : tools.filter(({ name }) => name === choice.name)
  if (choice === 'none' || usable.length === 0) return undefined
  const calls = CALLS[format](usable, parallel)
  return choice === 'auto' ? calls.orText : sequence(calls.begun, calls.rest)
}

/** The constraint of an answer behind the model's thoughts, if it has any. */
export function behindReasoning(constraint: Constraint, reasoning: Reasoning | undefined): Constraint {
  if (reasoning === undefined) return constraint
  const { open, close, begun } = reasoning
  const blanks: Constraint = { kind: 'repeat', part: text('\n'), min: 0, max: 2 }
  const thoughts = sequence({ kind: 'text', until: close }, blanks, constraint)
  return begun ? thoughts : { kind: 'any_of', options: [constraint, sequence(marker(open), thoughts)] }
}

/** How calls are written: how the first begins, what follows that beginning, and both within free text. */
interface Calls {
  readonly begun: Constraint
  readonly rest: Constraint
  readonly orText: Constraint
}

const CALLS: Readonly<Record<ToolFormat, (tools: readonly ToolFunction[], parallel: boolean) => Calls>> = {
  hermes(tools, parallel) {
    const open = '<tool_call>'
    const body = sequence(text('\n'), anyCall(tools, 'arguments'), text('\n'), marker('</tool_call>'))
    const more = repeated(sequence(text('\n'), marker(open), body), parallel)
    return { begun: marker(open), rest: sequence(body, more), orText: textOr(open, sequence(body, more)) }
  },

  llama3(tools, parallel) {
    const tag = '<|python_tag|>'
    const call = anyCall(tools, 'parameters')
    const calls = sequence(call, repeated(sequence(text('; '), call), parallel))
    const begun: Constraint = { kind: 'repeat', part: marker(tag), min: 0, max: 1 }
    // A brace at the beginning is that of a call.
    const begins: Constraint = { kind: 'regex', pattern: '\\s{0,8}[^{\\s]' }
    const other = sequence(begins, { kind: 'text', without: [tag] })
    return { begun, rest: calls, orText: { kind: 'any_of', options: [sequence(begun, calls), other] } }
  },

  mistral(tools, parallel) {
    const open = '[TOOL_CALLS]'
    const call = anyCall(tools, 'arguments')
    const opened: Constraint = { kind: 'choice', texts: [' [', '['] }
    const list = sequence(opened, call, repeated(sequence(text(', '), call), parallel), text(']'))
    return { begun: marker(open), rest: list, orText: textOr(open, list) }
  },

  'mistral-args'(tools, parallel) {
    const open = '[TOOL_CALLS]'
    const body: Constraint = {
      kind: 'any_of',
      options: tools.map(({ name, parameters }) => sequence(text(name), marker('[ARGS]'), argumentsOf(parameters))),
    }
    const calls = sequence(body, repeated(sequence(marker(open), body), parallel))
    return { begun: marker(open), rest: calls, orText: textOr(open, calls) }
  },
}

/** A call of one of the tools as a JSON object. */
function anyCall(tools: readonly ToolFunction[], key: string): Constraint {
  return {
    kind: 'any_of',
    options: tools.map(({ name, parameters }) =>
      sequence(text(`{"name": ${JSON.stringify(name)}, "${key}": `), argumentsOf(parameters), text('}')),
    ),
  }
}

function argumentsOf(parameters: JsonObject = { type: 'object', additionalProperties: false }): Constraint {
  return { kind: 'json_schema', schema: parameters, strict: true }
}

/** Any text without a call, or one that ends with calls. */
function textOr(open: string, rest: Constraint): Constraint {
  return {
    kind: 'any_of',
    options: [{ kind: 'text', without: [open] }, sequence({ kind: 'text', until: open }, rest)],
  }
}

function repeated(part: Constraint, parallel: boolean): Constraint {
  return { kind: 'repeat', part, min: 0, ...(!parallel && { max: 0 }) }
}

function sequence(...parts: readonly Constraint[]): Constraint {
  return { kind: 'sequence', parts }
}

function text(exactly: string): Constraint {
  return { kind: 'choice', texts: [exactly] }
}

function marker(of: string): Constraint {
  return { kind: 'marker', text: of }
}
