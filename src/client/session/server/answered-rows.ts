import { PetalsError } from '../../../base/errors.ts'
import type { Answer, StepMessage } from '../../../swarm/frames/messages.ts'
import { wrongAnswer } from '../../remote/wrong-answer.ts'

type StepAnswer = Extract<Answer<'inference'>, { kind: 'output' | 'computed' }>

/** The rows of a step that a server is to send back: the last ones of its tokens. */
export interface DueRows {
  readonly rows: number
  /** The position of the first of them. */
  readonly position: number
}

/** What is due of a step, all rows where it does not say how many are wanted. */
export function dueRows({ position, hidden, rows }: Pick<StepMessage, 'position' | 'hidden' | 'rows'>): DueRows {
  const [tokens = 0] = hidden.shape
  return { rows: rows ?? tokens, position: position + tokens - (rows ?? tokens) }
}

/** What is wrong with the number of rows in an answer: a server that was asked for so many gives so many. */
export function wrongCount(peerId: string, answer: StepAnswer, due: DueRows): PetalsError | undefined {
  const rows = answer.kind === 'output' ? answer.hidden.shape[0]! : 0
  return rows === due.rows ? undefined : wrongAnswer(peerId, `${rows} rows for ${due.rows}`)
}

/**
 * What is wrong with the positions in an answer: they are others where somebody on the way has added tokens or left
 * some out. `computed` has the position behind its tokens; older servers leave it out.
 */
export function wrongPlace(peerId: string, answer: StepAnswer, due: DueRows): PetalsError | undefined {
  if (answer.position === undefined || answer.position === due.position) return undefined
  return wrongAnswer(peerId, `rows from position ${answer.position} on where ${due.position} was due`)
}
