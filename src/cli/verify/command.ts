import { join } from 'node:path'
import { PetalsError, UsageError } from '../../base/errors.ts'
import type { VerifyRow } from '../../client/verification/rows.ts'
import { BUNDLED_GOLDEN, BUNDLED_MODEL } from '../bundled-model.ts'
import { defineCommand } from '../command.ts'
import { createLogger } from '../logger.ts'
import { modelOptions, swarmOptions, toolLogOptions } from '../options/options.ts'
import { VerifyTable } from './verify-table.ts'

export const verifyCommand = defineCommand({
  name: 'verify',
  summary: 'Compare what a swarm computes with a reference, at every place where the model can be cut',
  options: {
    ...modelOptions,
    ...swarmOptions,
    golden: {
      type: 'text',
      group: 'Verification',
      description: 'Reference: golden.safetensors, or a .json of greedy texts',
      defaultDescription: 'golden.safetensors beside the model',
    },
    cuts: {
      type: 'text',
      group: 'Verification',
      description: 'One partition, e.g. 1,2 for 0:1, 1:2, 2:N',
      defaultDescription: 'each single cut, then all at once',
    },
    json: { type: 'flag', group: 'Output', description: 'Print the rows as a JSON array on stdout' },
    ...toolLogOptions,
  },
  examples: [
    ['$0 verify --model ./llama --golden ./llama/golden.safetensors', 'start servers for every cut and compare'],
    ['$0 verify --model ./llama --cuts 1,2 --json', 'one partition into 0:1, 1:2 and 2:N, for a script'],
    ['$0 verify --model ./llama --bootstrap /ip4/10.0.0.1/tcp/4001/p2p/12D3...', 'compare the servers of a swarm'],
  ],
  async run(values, { shutdown }) {
    const { verifyModel } = await import('./verify-model.ts')
    const { openGolden } = await import('../../client/verification/golden.ts')
    const { openModel } = await import('../../checkpoint/hub/open-model.ts')
    const { readSwarmKey } = await import('../swarm-key.ts')
    const folder = values.model ?? BUNDLED_MODEL
    const {
      config: { numBlocks },
    } = await openModel(folder, { maxDiskSpaceBytes: values.maxDiskSpace })
    const golden = await openGolden(
      values.golden ?? (values.model === undefined ? BUNDLED_GOLDEN : join(folder, 'golden.safetensors')),
    )
    const partitions = values.cuts === undefined ? allPartitions(numBlocks) : [parseCuts(values.cuts, numBlocks)]
    const table = values.json ? undefined : new VerifyTable(process.stdout)
    const rows: VerifyRow[] = []
    const { bootstrap, dhtPrefix } = values
    const logger = await createLogger(values.logLevel)
    const swarmKey = await readSwarmKey(values.swarmKey)
    const options = {
      folder,
      numBlocks,
      golden,
      partitions,
      bootstrap,
      dhtPrefix,
      swarmKey,
      logger,
      signal: shutdown.signal,
    }
    for await (const row of verifyModel(options)) {
      rows.push(row)
      table?.add(row)
    }
    table?.finish(rows)
    if (values.json) process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`)
    const bad = rows.filter(({ ok }) => ok === false).length
    if (bad > 0) throw new PetalsError('VERIFY_FAILED', `${bad} of ${rows.length} comparisons failed`)
  },
})

/** Each single cut, then all cuts at once. */
function allPartitions(numBlocks: number): number[][] {
  const cuts = Array.from({ length: numBlocks - 1 }, (_, i) => i + 1)
  const single = cuts.map((cut) => [cut])
  return cuts.length > 1 ? [...single, cuts] : single.length === 1 ? single : [[]]
}

function parseCuts(text: string, numBlocks: number): number[] {
  const cuts = text.trim() === '' ? [] : text.split(',').map(Number)
  const rising = cuts.every((cut, i) => Number.isInteger(cut) && cut > (cuts[i - 1] ?? 0) && cut < numBlocks)
  if (!rising)
    throw new UsageError(`--cuts ${text}: expected rising block numbers from 1 to ${numBlocks - 1}, like 1,2`)
  return cuts
}
