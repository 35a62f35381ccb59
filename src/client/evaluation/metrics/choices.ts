import type { JsonObject } from '../../../checkpoint/files/json.ts'
import { isJsonObject } from '../../../checkpoint/files/json.ts'
import { type Example, DatasetError } from '../../training/data/dataset.ts'
import { type DataTokenizer, encodeCompletion, exampleOf } from '../../training/data/encode.ts'
import { refused } from '../../training/data/records.ts'
import { type Task, indexOfMax, shareOf } from '../task.ts'

/** A question with several answers, of which one is right. */
export interface Question {
  /** What stands before each choice. */
  readonly context: string
  readonly choices: readonly string[]
  /** The place of the right one. */
  readonly answer: number
}

/** What was found about one question. */
export interface ChoiceScores {
  readonly answer: number
  /** Of each choice: log p(choice | context), the sum over its tokens, in nats. */
  readonly logLikelihoods: readonly number[]
  /** The tokens of each choice, and its bytes in UTF-8. */
  readonly tokens: readonly number[]
  readonly bytes: readonly number[]
}

/** How often the right choice is the likeliest. */
export interface ChoicesResult {
  /** By the choices' log-likelihoods themselves; lm-eval's `acc`. */
  readonly accuracy: number
  readonly accuracyStandardError: number
  /** By the log-likelihoods per token. */
  readonly accuracyPerToken: number
  readonly accuracyPerTokenStandardError: number
  /** By the log-likelihoods per byte; lm-eval's `acc_bytes`, and for plain ASCII its `acc_norm`. */
  readonly accuracyPerByte: number
  readonly accuracyPerByteStandardError: number
  readonly questions: readonly ChoiceScores[]
}

/** Between a context and a choice, as in lm-eval. */
const DELIMITER = ' '

/**
 * Reads `{"context" or "question", "choices", "answer"}`; the answer is the place of the right choice, from 0, or its
 * text. Throws `DATASET_RECORD`, naming the item and the field.
 */
export function parseQuestion(value: unknown, where: string): Question {
  if (!isJsonObject(value))
    throw refused(where, 'it is no object', 'expected {"context": "...", "choices": ["...", "..."], "answer": 0}')
  const { choices, answer } = value
  if (
    !Array.isArray(choices) ||
    choices.length < 2 ||
    !choices.every((each) => typeof each === 'string' && each !== '')
  )
    throw refused(where, `choices is ${shown(choices)}`, 'expected a list of two texts or more, none of them empty')
  const place = typeof answer === 'string' ? choices.indexOf(answer) : answer
  if (!Number.isInteger(place) || Number(place) < 0 || Number(place) >= choices.length)
    throw refused(
      where,
      `answer is ${shown(answer)}`,
      `expected the right choice, or its place from 0 to ${choices.length - 1}`,
    )
  return { context: contextOf(value, where), choices: choices as string[], answer: Number(place) }
}

function contextOf({ context, question }: JsonObject, where: string): string {
  const text = context ?? question
  if (typeof text === 'string' && (context === undefined || question === undefined)) return text
  throw refused(where, `context is ${shown(context)}, question ${shown(question)}`, 'expected one of them, a text')
}

function shown(value: unknown): string {
  return value === undefined ? 'missing' : JSON.stringify(value).slice(0, 80)
}

/** A sequence for each choice, behind the context. */
export interface EncodedQuestion {
  readonly question: Question
  readonly examples: readonly Example[]
}

/**
 * Encodes a question's context and choices as one text each, of which the tokens of the choice count. Contexts that are
 * longer than `window` tokens with the choice are cut at their beginning. Throws `DATASET_RECORD` for a choice that has
 * no token, or too many.
 */
export async function encodeQuestion(
  tokenizer: DataTokenizer,
  question: Question,
  { window, where }: { readonly window: number; readonly where: string },
): Promise<EncodedQuestion> {
  const examples = question.choices.map(async (choice): Promise<Example> => {
    const { context } = question
    // White space at the end of the context belongs to the choice's first token.
    const prompt = context.trimEnd()
    const completion = `${prompt.length < context.length ? context.slice(prompt.length) : DELIMITER}${choice}`
    const { ids, isLearned } = await encodeCompletion(tokenizer, { prompt, completion }, undefined)
    const first = ids.findIndex((_, i) => isLearned(i))
    const from = Math.max(0, ids.length - window)
    // The choice's first token is predicted from one before it.
    if (first < 1 || first <= from)
      throw refused(
        where,
        `choice ${JSON.stringify(choice.slice(0, 60))} has ${first < 0 ? 'no tokens' : `no token before it`}`,
        first < 1 ? 'give a context' : `it is longer than the window of ${window} tokens`,
      )
    const kept = { ids: ids.slice(from), isLearned: (i: number) => isLearned(from + i) }
    return exampleOf(kept, window)!
  })
  return { question, examples: await Promise.all(examples) }
}

/** Multiple choice by log-likelihood. Throws `DATASET_FILE` where there is no question. */
export function choicesTask(name: string, questions: readonly EncodedQuestion[]): Task<ChoicesResult> {
  if (questions.length === 0)
    throw new DatasetError('DATASET_FILE', `${name} holds no question: {"context", "choices", "answer"}`)
  return {
    score: 'loss',
    examples: questions.flatMap(({ examples }) => examples),
    summarize: (scores) => {
      let at = 0
      return summarized(
        questions.map(({ question: { choices, answer }, examples }): ChoiceScores => ({
          answer,
          logLikelihoods: choices.map(() => -scores[at++]![0]!),
          tokens: examples.map(({ weights }) => weights.reduce((sum, weight) => sum + weight, 0)),
          bytes: choices.map((choice) => Buffer.byteLength(choice)),
        })),
      )
    },
  }
}

function summarized(questions: readonly ChoiceScores[]): ChoicesResult {
  const by = (measure: (question: ChoiceScores, choice: number) => number): ReturnType<typeof shareOf> =>
    shareOf(
      questions.map((question) => {
        const values = question.logLikelihoods.map((each, choice) => each / measure(question, choice))
        return indexOfMax(values) === question.answer
      }),
    )
  const [whole, perToken, perByte] = [
    by(() => 1),
    by(({ tokens }, choice) => tokens[choice]!),
    by(({ bytes }, choice) => bytes[choice]!),
  ] as const
  return {
    accuracy: whole.share,
    accuracyStandardError: whole.standardError,
    accuracyPerToken: perToken.share,
    accuracyPerTokenStandardError: perToken.standardError,
    accuracyPerByte: perByte.share,
    accuracyPerByteStandardError: perByte.standardError,
    questions,
  }
}
