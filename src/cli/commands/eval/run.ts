import { UsageError } from '../../../base/errors.ts'
import { orAborted } from '../../../base/abort.ts'
import { writeByRename } from '../../../checkpoint/files/write-by-rename.ts'
import type { EvaluationProgress, EvaluationResult } from '../../../client/evaluation/evaluate.ts'
import type { MetricName } from '../../../client/evaluation/task.ts'
import { AutoDistributedModelForSequenceClassification } from '../../../client/model/classification-model.ts'
import { AutoDistributedModelForCausalLM } from '../../../client/model/model.ts'
import { loadClassifier } from '../../../client/training/results/classifier-folder.ts'
import type { CommandContext } from '../command.ts'
import { requireSwarm } from '../../join/addresses.ts'
import { openClientAs } from '../../join/open-client.ts'
import { Cleanup } from '../../process/cleanup.ts'
import { leftText } from '../../terminal/bar-line.ts'
import { createLogger } from '../../terminal/logger.ts'
import { WorkLine } from '../../terminal/work-line.ts'
import { requireData } from '../../values/data-file.ts'
import { describeResult } from './describe.ts'
import type { EvalValues } from './options.ts'

/** Measures and prints the result. Rejects with an `InterruptedError` if it is interrupted. */
export async function runEval(values: EvalValues, { shutdown: { signal } }: CommandContext): Promise<void> {
  const data = await requireData('--data', values.data)
  if (values.metric === 'accuracy' && values.classifier === undefined)
    throw new UsageError('--metric accuracy: it is that of a classifier; give --classifier its folder')
  requireSwarm(values)
  const cleanup = new Cleanup()
  try {
    await evaluate(values, data, cleanup, signal)
  } finally {
    await cleanup.run()
  }
}

async function evaluate(values: EvalValues, data: string, cleanup: Cleanup, signal: AbortSignal): Promise<void> {
  const { out, metric, window, stride, template } = values
  const logger = await createLogger(values.logLevel)
  const classifier = values.classifier === undefined ? undefined : await loadClassifier(values.classifier)
  const model = await orAborted<AutoDistributedModelForCausalLM | AutoDistributedModelForSequenceClassification>(
    classifier === undefined
      ? openClientAs(AutoDistributedModelForCausalLM, values, { logger, cleanup, signal })
      : openClientAs(AutoDistributedModelForSequenceClassification, values, { logger, cleanup, signal, classifier }),
    signal,
  )
  const line = new WorkLine('evaluating')
  const state = out === undefined ? undefined : `${out}.state`
  const began = performance.now()
  let result: EvaluationResult
  try {
    result = await model.evaluate(data, {
      window,
      stride,
      template,
      state,
      signal,
      ...(metric !== undefined && { metrics: [metric as MetricName] }),
      onProgress: (progress) => tell(line, progress, (performance.now() - began) / 1000),
    })
  } catch (error) {
    line.stop()
    if (signal.aborted && state !== undefined) line.note(`what was computed is in ${state}: the same command goes on`)
    throw error
  }
  line.stop()
  if (out !== undefined) await writeByRename(out, `${JSON.stringify(result, undefined, 2)}\n`)
  process.stdout.write(values.json ? `${JSON.stringify(result, undefined, 2)}\n` : describeResult(result))
}

function tell(line: WorkLine, { tokens, totalTokens, resumedTokens }: EvaluationProgress, seconds: number): void {
  if (tokens === resumedTokens) {
    if (resumedTokens > 0) line.note(`going on: ${resumedTokens} of ${totalTokens} tokens were computed before`)
    line.update({ share: tokens / totalTokens, detail: `${totalTokens} tokens` })
    return
  }
  const rate = (tokens - resumedTokens) / seconds
  line.update({
    share: tokens / totalTokens,
    detail:
      `${tokens} of ${totalTokens} tokens, ${Math.round(rate)} tokens/s` + leftText((totalTokens - tokens) / rate),
  })
}
