import { errorCode } from '../../../base/errors.ts'
import { type AnswerParser, openAnswerParser } from '../../../client/chat/answer/answer-parser.ts'
import { findReasoning, findToolFormat, specialMarks } from '../../../client/chat/answer/find-formats.ts'
import type { Reasoning, ToolFormat } from '../../../client/chat/answer/parts.ts'
import { type ToolFunction, behindReasoning, toolCallConstraint } from '../../../client/chat/answer/tool-constraint.ts'
import type { Constraint } from '../../../sampling/grammar/constraint.ts'
import type { JsonObject } from '../../../sampling/grammar/json/json.ts'
import { badRequest } from '../../errors/api-error.ts'
import type { ServedModel } from '../../models/served-model.ts'
import { type AskedConstraint, askedConstraint, checkAsked } from '../constraint.ts'
import type { ChatRequest } from './request.ts'
import { type ToolUse, toolUseOf } from './tools.ts'

/** What the answers to a chat look like, and what reads them. */
export interface AnswerForm {
  readonly constraint: Constraint | undefined
  /** Whether special tokens are left out of the text; some of them tell the parts of an answer apart. */
  readonly skipSpecialTokens: boolean
  openParser(): AnswerParser
}

/** How a model writes what a chat asks for. */
interface Formats {
  readonly use: ToolUse
  readonly toolFormat: ToolFormat | undefined
  readonly reasoning: Reasoning | undefined
}

/**
 * The form of the answers to a chat whose prompt is `prompt`. Throws an `ApiError` for a call that is required of a
 * model whose way to write calls is not known, and for schemas that cannot be enforced; those of tools that it only
 * may call are not enforced then.
 */
export async function answerFormOf(served: ServedModel, body: ChatRequest, prompt: string): Promise<AnswerForm> {
  const { text: templateText } = served.chat.source
  const use = toolUseOf(body)
  const usesTools = use.tools.length > 0 && use.choice !== 'none'
  const toolFormat = usesTools ? findToolFormat(templateText) : undefined
  const reasoning = findReasoning(templateText, prompt)
  return {
    constraint: await constraintOf(served, body, { use, toolFormat, reasoning }),
    skipSpecialTokens: specialMarks(toolFormat, reasoning).length === 0,
    openParser: () => openAnswerParser({ toolFormat, reasoning }),
  }
}

async function constraintOf(
  { model }: ServedModel,
  body: ChatRequest,
  { use, toolFormat, reasoning }: Formats,
): Promise<Constraint | undefined> {
  const tokenizer = model.tokenizer!
  const check = (asked: AskedConstraint): Promise<void> => checkAsked(asked, tokenizer)
  const behind = (constraint: Constraint): Constraint => behindReasoning(constraint, reasoning)
  const asked = askedConstraint(body)
  const mustCall = use.choice !== 'auto' && use.choice !== 'none'
  if (mustCall && use.tools.length === 0) throw badRequest('tool_choice: there are no tools', 'tool_choice')
  if (mustCall && toolFormat === undefined)
    throw badRequest('tool_choice: how this model writes calls is not known from its chat template', 'tool_choice')
  if (asked !== undefined) await check({ ...asked, constraint: behind(asked.constraint) })
  if (toolFormat === undefined) return asked && behind(asked.constraint)

  const choice = typeof use.choice === 'object' ? use.choice.function : use.choice
  const calls = (of: typeof choice) => toolCallConstraint(toolFormat, functionsOf(use), of, use.parallel)
  if (mustCall) {
    const required = calls(choice)
    if (required === undefined) throw badRequest('tool_choice: there is no such tool', 'tool_choice')
    await check({ constraint: behind(required), param: 'tools' })
    return behind(required)
  }
  // What is no call must have the form that is asked for.
  const called = calls(asked === undefined ? 'auto' : 'required')
  if (called === undefined) return asked && behind(asked.constraint)
  const either: Constraint = asked === undefined ? called : { kind: 'any_of', options: [called, asked.constraint] }
  try {
    await tokenizer.checkConstraint(behind(either))
    return behind(either)
  } catch (error) {
    if (!errorCode(error).startsWith('CONSTRAINT_')) throw error
    return asked && behind(asked.constraint)
  }
}

function functionsOf({ tools }: ToolUse): ToolFunction[] {
  return tools.map(({ function: { name, parameters } }) => ({
    name,
    parameters: parameters as JsonObject | undefined,
  }))
}
