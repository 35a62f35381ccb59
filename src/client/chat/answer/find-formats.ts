import type { Reasoning, ToolFormat } from './parts.ts'

/** Calls that are written in other ways within the same tags; these are not taken apart. */
const OTHER_CALLS = ['<function=', '<arg_key>']

/** How a model writes calls of tools, by the text of its chat template; undefined if in no way that is known here. */
export function findToolFormat(template: string): ToolFormat | undefined {
  if (template.includes('[TOOL_CALLS]')) return template.includes('[ARGS]') ? 'mistral-args' : 'mistral'
  if (template.includes('<tool_call>'))
    return OTHER_CALLS.some((other) => template.includes(other)) ? undefined : 'hermes'
  const isLlama = template.includes('<|python_tag|>') || /Environment: ipython/.test(template)
  return isLlama && template.includes('parameters') ? 'llama3' : undefined
}

const TAGS = [
  ['<think>', '</think>'],
  ['[THINK]', '[/THINK]'],
  ['<seed:think>', '</seed:think>'],
  ['<|START_THINKING|>', '<|END_THINKING|>'],
] as const

/**
 * How a model marks what it thinks, by the text of its chat template and the prompt that it goes on from; undefined if
 * it does not, as far as is known here.
 */
export function findReasoning(template: string, prompt: string): Reasoning | undefined {
  const tags = TAGS.find(([, close]) => template.includes(close))
  if (tags === undefined) return undefined
  const [open, close] = tags
  return { open, close, begun: prompt.trimEnd().endsWith(open) }
}

/**
 * Texts of special tokens that an answer must show to be taken apart: generate with `skipSpecialTokens: false` where
 * there are any and the model may use them.
 */
export function specialMarks(toolFormat: ToolFormat | undefined, reasoning: Reasoning | undefined): string[] {
  const calls = { hermes: [], llama3: ['<|python_tag|>'], mistral: ['[TOOL_CALLS]'], 'mistral-args': ['[TOOL_CALLS]'] }
  return [
    ...(toolFormat === undefined ? [] : calls[toolFormat]),
    ...(reasoning === undefined ? [] : [reasoning.open, reasoning.close]),
  ]
}
