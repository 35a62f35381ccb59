import { Script, createContext } from 'node:vm'
import { errorMessage } from '../../base/errors.ts'
import type { ChatTemplate } from './messages.ts'
import { ChatTemplateError, type TemplateSource } from './template-source.ts'
import { RefusalError, UnsupportedError } from './template/errors.ts'
import { Template } from './template/template.ts'

/** The time limit of a template, which comes from a stranger and may loop for ever; honest ones take milliseconds. */
const RENDER_TIMEOUT_MS = 1000

/**
 * Compiles a template. Throws `CHAT_TEMPLATE` for one that jinja2 could not compile, or that uses what is not
 * supported here, naming it. Its variables are those that transformers hands on: the messages, the tools (None where
 * there are none), `add_generation_prompt`, the special tokens, and what the caller adds. A rendering ends after
 * `timeoutMs`.
 */
export function compileTemplate(
  { text, name, specialTokens }: TemplateSource,
  timeoutMs = RENDER_TIMEOUT_MS,
): ChatTemplate {
  const orRefuse = <T>(work: () => T): T => withinTime(name, timeoutMs, work)
  const template = orRefuse(() => new Template(text))
  return {
    render: (messages, { addGenerationPrompt = true, tools = [], variables = {} } = {}) =>
      orRefuse(() =>
        template.render({
          ...specialTokens,
          documents: null,
          ...variables,
          messages,
          tools: tools.length > 0 ? tools : null,
          add_generation_prompt: addGenerationPrompt,
        }),
      ),
  }
}

/** What runs a template's work: making a context takes longer than most templates do. */
const RUNNER = { script: new Script('work()'), context: createContext({ work: undefined }) }

/** Runs a template's synchronous `work`; the engine stops it and throws when its time is over. */
function withinTime<T>(name: string, timeout: number, work: () => T): T {
  RUNNER.context['work'] = work
  try {
    return RUNNER.script.runInContext(RUNNER.context, { timeout }) as T
  } catch (error) {
    throw new ChatTemplateError(name, reasonOf(error), error)
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof RefusalError) return `it refuses these messages: ${error.message}`
  if (error instanceof UnsupportedError) return `it uses what is not supported here: ${error.message}`
  return `it cannot be rendered: ${errorMessage(error)}`
}
