import { answerCalls } from '../../base/thread/answer-calls.ts'
import { ConstraintCompiler } from '../../sampling/grammar/compile.ts'
import type { Constraint } from '../../sampling/grammar/constraint.ts'
import type { ConstraintCalls } from './calls.ts'

/** Constraints that have been found good: agents ask for the same ones again and again. */
const checked = new Set<string>()
const MAX_CHECKED = 64

/** The thread that checks constraints: some take a second, in which texts are to be encoded and decoded. */
answerCalls<ConstraintCalls>(() => ({ check: ({ constraint }) => checkOnce(constraint) }))

function checkOnce(constraint: Constraint): void {
  const key = JSON.stringify(constraint)
  if (checked.has(key)) return
  new ConstraintCompiler().compile(constraint)
  if (checked.size >= MAX_CHECKED) checked.clear()
  checked.add(key)
}
