import { routeValues } from '../../values/route-values.ts'
import { join } from 'node:path'
import { PetalsError, UsageError } from '../../../base/errors.ts'
import { chooseDevice } from '../../../runtime/choose-device.ts'
import { type Device, deviceText, parseDType } from '../../../runtime/device.ts'
import { openModel } from '../../../checkpoint/open-model.ts'
import { type Golden, openGolden } from '../../../client/verification/golden.ts'
import type { VerifyRow } from '../../../client/verification/rows.ts'
import type { FloatDType } from '../../../tensor/dtype.ts'
import { BUNDLED_GOLDEN, BUNDLED_MODEL } from '../../values/bundled-model.ts'
import type { CommandContext } from '../command.ts'
import { createLogger } from '../../terminal/logger.ts'
import { readSwarmKey } from '../../join/swarm-key.ts'
import { EXIT_CODES } from '../../process/exit-codes.ts'
import type { VerifyValues } from './options.ts'
import { verifyModel } from './verify-model.ts'
import { VerifyTable } from './verify-table.ts'
import { tellTrouble } from '../../terminal/tell-trouble.ts'

/** Prints each comparison as it is made. Throws `VERIFY_FAILED` if one failed. */
export async function runVerify(values: VerifyValues, { shutdown }: CommandContext): Promise<void> {
  const { bootstrap, dhtPrefix, json } = values
  const ownDevice = bootstrap.length > 0 ? undefined : chooseDevice(values.device)
  const folder = values.model ?? BUNDLED_MODEL
  const { config } = await openModel(folder, { maxDiskSpaceBytes: values.maxDiskSpace, onTrouble: tellTrouble })
  const { numBlocks } = config
  // Servers of a swarm loosen no limit by what they say of themselves.
  const toleranceFor =
    ownDevice === undefined
      ? ((values.dtype as FloatDType | undefined) ?? 'float32')
      : parseDType(values.dtype ?? 'auto', ownDevice, config.dtype)
  const options = {
    folder,
    numBlocks,
    golden: await goldenOf(values, folder),
    partitions: values.cuts === undefined ? allPartitions(numBlocks) : [parseCuts(values.cuts, numBlocks)],
    bootstrap,
    device: values.device,
    withoutGradients: withoutGradients(ownDevice, toleranceFor),
    toleranceFor,
    dhtPrefix,
    ...routeValues(values),
    swarmKey: await readSwarmKey(values.swarmKey),
    logger: await createLogger(values.logLevel),
    signal: shutdown.signal,
  }
  const table = json ? undefined : new VerifyTable(process.stdout)
  const rows: VerifyRow[] = []
  for await (const row of verifyModel(options)) {
    rows.push(row)
    table?.add(row)
  }
  table?.finish(rows)
  if (json) process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`)
  const bad = rows.filter(({ ok }) => ok === false).length
  if (bad === 0) return
  const failed = new PetalsError('VERIFY_FAILED', `${bad} of ${rows.length} comparisons failed`)
  if (!json) throw failed
  // The rows are the result, and say which.
  process.stderr.write(`petals-node: ${failed.message}\n`)
  process.exitCode = EXIT_CODES.failed
}

/** Why servers compute no gradients, those that are started on a device or others; undefined where they may. */
function withoutGradients(ownDevice: Device | undefined, dtype: FloatDType): string | undefined {
  if (ownDevice !== undefined && ownDevice.kind !== 'cpu')
    return `servers with --device ${deviceText(ownDevice)} compute no gradients`
  return dtype === 'float32' ? undefined : `servers in ${dtype} compute no gradients`
}

function goldenOf({ golden, model }: VerifyValues, folder: string): Promise<Golden> {
  return openGolden(golden ?? (model === undefined ? BUNDLED_GOLDEN : join(folder, 'golden.safetensors')))
}

/** The partitions to check: cut at each single block boundary, then at all of them. */
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
