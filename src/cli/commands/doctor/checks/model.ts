import { statfs } from 'node:fs/promises'
import { errorMessage } from '../../../../base/errors.ts'
import { sizeText } from '../../../../base/size.ts'
import type { Checkpoint } from '../../../../checkpoint/checkpoint.ts'
import { downloadSize } from '../../../../checkpoint/hub/download/fetch-tensors.ts'
import { openModel } from '../../../../checkpoint/open-model.ts'
import { type SpanPlan, planEnds, planSpan } from '../../../../engine/plan/plan.ts'
import { endsTensorNames, spanTensorNames } from '../../../../engine/loading/tensor-names.ts'
import { chooseDevice, freeDeviceBytes } from '../../../../runtime/choose-device.ts'
import { type Device, parseDType } from '../../../../runtime/device.ts'
import { parseKvDType } from '../../../values/kv-dtype.ts'
import type { DoctorValues } from '../options.ts'
import { type Finding, note, ok, problem } from '../finding.ts'
import type { Quantization } from '../../../../tensor/quantize.ts'
import { nearestFolder } from './disk.ts'
import { tellTrouble } from '../../../terminal/tell-trouble.ts'

/**
 * Reports how many blocks of a model fit on this machine. For a model of the hub only small files and headers are
 * downloaded.
 */
export async function checkModel(values: DoctorValues, model: string, signal: AbortSignal): Promise<Finding[]> {
  try {
    const checkpoint = await openModel(model, { signal, onTrouble: tellTrouble })
    const { config, notes } = checkpoint
    const device = chooseDevice(values.device)
    const dtype = parseDType(values.dtype, device, config.dtype)
    const memoryBytes = freeMemory(device)
    const plan = planSpan(config, {
      device: device.kind,
      dtype,
      quant: values.quant as Quantization,
      kvDType: parseKvDType(values.kvDtype),
      memoryBytes,
      cacheTokens: values.attnCacheTokens,
    })
    return [
      ok('Model', `${model}: ${config.modelType}, ${config.numBlocks} blocks of hidden size ${config.hiddenSize}`),
      ...notes.map((text) => note('Model', text)),
      describeSpan(plan),
      ...(await checkDownload(checkpoint, plan.numBlocks)),
      describeClient(planEnds(config).totalBytes),
    ]
  } catch (error) {
    signal.throwIfAborted()
    return [problem('Model', `${model}: ${errorMessage(error)}`)]
  }
}

function freeMemory(device: Device): number {
  return device.kind === 'cpu' ? process.availableMemory() : (freeDeviceBytes(device) ?? 0)
}

function describeSpan(plan: SpanPlan): Finding {
  const { numBlocks, modelBlocks, device, dtype, quant } = plan
  const found = [
    `${numBlocks} of ${modelBlocks} blocks fit, on ${device} in ${dtype}` +
      `${quant === 'none' ? '' : ` with weights in ${quant}`}, into ${sizeText(plan.memoryBytes)} of free memory:`,
    `${sizeText(plan.weightBytes)} weights (${sizeText(plan.blockBytes)} a block)`,
    `${sizeText(plan.cacheBytes)} KV cache${plan.kvDType === undefined ? '' : ` in ${plan.kvDType}`} ` +
      `(${plan.cacheTokens} tokens of ${sizeText(plan.tokenBytes)} a block)`,
    `${sizeText(plan.workspaceBytes)} workspace, ${sizeText(plan.reserveBytes)} reserve`,
    plan.trainingBytes === 0
      ? 'no room for training'
      : `${sizeText(plan.trainingBytes)} for backward passes of clients`,
  ].join('\n')
  if (numBlocks > 0) return ok('Serving', found)
  return problem('Serving', found, 'use a machine with more memory, or only a client: "petals-node generate"')
}

/** Compares what would be downloaded for as many blocks as fit with the room on the disk. */
async function checkDownload(checkpoint: Checkpoint, numBlocks: number): Promise<Finding[]> {
  const { remote } = checkpoint
  if (remote === undefined) return []
  const names = numBlocks > 0 ? spanTensorNames(checkpoint, 0, numBlocks) : endsTensorNames(checkpoint)
  const { totalBytes, missingBytes } = await downloadSize(checkpoint, names)
  const { partsFolder } = remote.settings
  const { bavail, bsize } = await statfs(await nearestFolder(partsFolder))
  const free = bavail * bsize
  const what = numBlocks > 0 ? `${numBlocks} blocks` : 'a client'
  const found =
    `${sizeText(totalBytes)} for ${what}, of which ${sizeText(totalBytes - missingBytes)} are here; ` +
    `${sizeText(free)} are free in ${partsFolder}`
  return [
    missingBytes > free
      ? problem('Download', found, 'free some space, set HF_HOME to a folder on a larger disk, or serve fewer blocks')
      : ok('Download', found),
  ]
}

function describeClient(endsBytes: number): Finding {
  const found = `a client holds embedding and head: ${sizeText(endsBytes)}`
  return endsBytes > process.availableMemory()
    ? problem('Generating', found, 'free some memory')
    : note('Generating', found)
}
