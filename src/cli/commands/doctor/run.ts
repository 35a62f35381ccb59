import { errorMessage } from '../../../base/errors.ts'
import { hubSettings } from '../../../checkpoint/hub/settings.ts'
import { loadIdentity } from '../../../swarm/node/identity.ts'
import { type SwarmNode, createSwarmNode } from '../../../swarm/node/node.ts'
import { checkBootstrap, lanOf, listenAddresses } from '../../join/addresses.ts'
import { Cleanup } from '../../process/cleanup.ts'
import type { CommandContext } from '../command.ts'
import type { DoctorValues } from './options.ts'
import { EXIT_CODES } from '../../process/exit-codes.ts'
import { createLogger } from '../../terminal/logger.ts'
import { orAborted } from '../../../base/abort.ts'
import { checkCacheFolder, checkHub } from './checks/disk.ts'
import { checkMemory, checkNode } from './checks/machine.ts'
import { checkModel } from './checks/model.ts'
import { checkMetricsPort } from './checks/ports.ts'
import { checkRuntime } from './checks/runtime.ts'
import { checkPeers } from './checks/swarm.ts'
import { readSwarmKey } from '../../join/swarm-key.ts'
import { type Finding, ok, problem, renderFinding } from './finding.ts'

/** Prints each finding as soon as it is made; exits with the code `failed` if there is a problem. */
export async function runDoctor(values: DoctorValues, { shutdown }: CommandContext): Promise<void> {
  checkBootstrap(values.bootstrap)
  listenAddresses(values)
  const findings: Finding[] = []
  const cleanup = new Cleanup()
  try {
    await orAborted(
      (async () => {
        for await (const finding of examine(values, cleanup, shutdown.signal)) {
          findings.push(finding)
          if (!values.json) process.stdout.write(renderFinding(finding))
        }
      })(),
      shutdown.signal,
    )
  } finally {
    await cleanup.run()
  }
  const problems = findings.filter(({ verdict }) => verdict === 'problem')
  if (values.json) process.stdout.write(`${JSON.stringify({ findings }, undefined, 2)}\n`)
  else
    process.stdout.write(
      problems.length === 0
        ? '\nno problems found\n'
        : `\n${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}\n`,
    )
  if (problems.length > 0) process.exitCode = EXIT_CODES.failed
}

async function* examine(values: DoctorValues, cleanup: Cleanup, signal: AbortSignal): AsyncGenerator<Finding> {
  const hub = hubSettings(process.env)
  yield checkNode()
  yield* checkRuntime(values.device)
  yield checkMemory()
  yield await checkCacheFolder(hub)
  yield await checkHub(hub, signal)
  yield await checkMetricsPort(values.metricsHost, values.metricsPort)
  const node = await startNode(values, cleanup)
  if (node instanceof Error) {
    yield problem('Port', errorMessage(node))
  } else {
    yield ok('Port', `listening works on ${listenAddresses(values).join(', ')}`)
    yield* await checkPeers(node, signal)
  }
  if (values.model !== undefined) yield* await checkModel(values, values.model, signal)
}

/** A node started as `serve` would do it, or the error if it cannot be started. */
async function startNode(values: DoctorValues, cleanup: Cleanup): Promise<SwarmNode | Error> {
  try {
    const logger = await createLogger(values.logLevel)
    const { announce, bootstrap } = values
    const listen = listenAddresses(values)
    const swarmKey = await readSwarmKey(values.swarmKey)
    const identity = await loadIdentity(values.identity)
    const node = await createSwarmNode({ identity, listen, announce, bootstrap, lan: lanOf(values), swarmKey, logger })
    cleanup.add(() => node.stop())
    await node.start()
    // What the local network has to say is part of the findings.
    if (values.mdns) await node.ready().catch(() => undefined)
    return node
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}
