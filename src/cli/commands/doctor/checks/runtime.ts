import { errorMessage } from '../../../../base/errors.ts'
import { sizeText } from '../../../../base/size.ts'
import { type CudaReport, inspectCuda } from '../../../../runtime/cuda/cuda-report.ts'
import { CPU } from '../../../../runtime/device.ts'
import { runtimeVersion } from '../../../../runtime/locate/locate.ts'
import { type Finding, note, ok, problem } from '../finding.ts'
import { threadRuntime } from '../../../../runtime/thread-runtime.ts'
import { checkWebGpu } from './webgpu.ts'

/**
 * Checks that the runtime's library can be loaded, in a child process, and everything that GPUs need. `device` is the
 * value of --device.
 */
export function checkRuntime(device: string): Finding[] {
  const findings = [checkLibrary()]
  if (findings[0]!.verdict === 'problem' || device === 'cpu') return findings
  const cuda = device.startsWith('webgpu')
    ? []
    : describeCuda(inspectCuda(), device.startsWith('cuda') ? problem : note)
  return [...findings, ...cuda, ...(device.startsWith('cuda') ? [] : checkWebGpu(device))]
}

function checkLibrary(): Finding {
  try {
    const path = threadRuntime.location().library
    const failure = threadRuntime.trials.problemOf(CPU)
    if (failure !== undefined)
      return problem('onnxruntime', `${path}: ${failure}`, 'install the packages again on this machine: npm ci')
    return ok('onnxruntime', `${versionOf(path)}, loads and computes`)
  } catch (error) {
    return problem('onnxruntime', errorMessage(error))
  }
}

/** The library's version, read from its ELF file; only possible on Linux. */
function versionOf(path: string): string {
  return process.platform === 'linux' ? runtimeVersion(path) : path
}

/** Findings about CUDA. What is missing is a problem only if CUDA was asked for, else a note. */
function describeCuda({ provider, libraries, gpus, problems }: CudaReport, missing: typeof problem): Finding[] {
  const findings = gpus.map(({ name, freeBytes, totalBytes, driverVersion }, i) =>
    ok('GPU', `cuda:${i}: ${name}, ${sizeText(freeBytes)} free of ${sizeText(totalBytes)}, driver ${driverVersion}`),
  )
  if (provider !== undefined) findings.push(ok('CUDA provider', `${provider.folder} (${provider.source})`))
  for (const { name, path, onLoaderPath } of libraries) {
    if (path !== undefined)
      findings.push(
        ok('CUDA library', `${name}: ${path}${onLoaderPath ? '' : " (not on the loader's path; loaded from there)"}`),
      )
  }
  if (problems.length > 0) return [...findings, ...problems.map((text) => missing('CUDA', text))]
  return [
    ...findings,
    ...gpus.map((_, index) => {
      const failure = threadRuntime.trials.problemOf({ kind: 'cuda', index })
      return failure === undefined ? ok('CUDA', `cuda:${index} computes`) : missing('CUDA', failure)
    }),
  ]
}
