/**
 * The calls that a thread answers, written as an interface of functions. Each function takes one piece of plain data
 * and, as its second argument, the function that its reports go to. `Thread` is the caller's side, `answerCalls` the
 * thread's.
 */
export type Calls<C> = { readonly [K in keyof C]: Call }

/** One call: from its arguments (one piece of plain data) to its answer. */
export type Call = (args: never, report: never) => unknown

/** The type of a call's argument, of its answer, and of what it may report before its answer. */
export type ArgsOf<F extends Call> = Parameters<F>[0]
/** What a call answers. */
export type AnswerOf<F extends Call> = Awaited<ReturnType<F>>
/** What a call reports while it is under way; never for one that reports nothing. */
export type ReportOf<F extends Call> = Parameters<F>[1] extends (report: infer R) => void ? R : never

/** An error on its way to another thread: class and stack do not travel. */
export interface CallFault {
  readonly name: string
  readonly code: string
  readonly message: string
}

/** A call on its way to the thread; the thread's messages about it carry the same `id`. */
export interface CallMessage {
  readonly id: number
  readonly name: string
  readonly args: unknown
}

/** The first message is `started` or `unusable`; then come, for each call, reports and one answer or fault. */
export type ThreadMessage =
  | { readonly type: 'started' }
  | { readonly type: 'unusable'; readonly fault: CallFault }
  | { readonly type: 'report'; readonly id: number; readonly report: unknown }
  | { readonly type: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly type: 'fault'; readonly id: number; readonly fault: CallFault }
