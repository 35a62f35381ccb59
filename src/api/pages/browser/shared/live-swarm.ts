import { signal } from '@preact/signals'
import type { SwarmSnapshot } from '../../../swarm-view/snapshot.ts'
import { ask } from './api.ts'
import { readEvents } from './event-stream.ts'

/** The swarm as the server last told it. */
export const swarm = signal<SwarmSnapshot | undefined>(undefined)

/** Why it is not up to date. */
export const swarmTrouble = signal<string | undefined>(undefined)

const RETRY_MS = 2000

/** Nothing for so long means that the connection is lost: the server tells something every few seconds. */
const SILENCE_MS = 20_000

/** Keeps `swarm` up to date while the page can be seen. */
export async function followSwarm(): Promise<void> {
  for (;;) {
    await seen()
    try {
      await follow()
      swarmTrouble.value = 'The connection to the server was lost.'
    } catch (error) {
      swarmTrouble.value = (error as Error).message
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
  }
}

async function follow(): Promise<void> {
  const abort = new AbortController()
  const onHidden = (): void => {
    if (document.hidden) abort.abort()
  }
  document.addEventListener('visibilitychange', onHidden)
  let timer = 0
  const restart = (): void => {
    clearTimeout(timer)
    timer = setTimeout(() => abort.abort(), SILENCE_MS)
  }
  try {
    const response = await ask('swarm/events', { signal: abort.signal })
    restart()
    for await (const { data } of readEvents(response.body!)) {
      restart()
      swarm.value = JSON.parse(data) as SwarmSnapshot
      swarmTrouble.value = undefined
    }
  } catch (error) {
    if (!document.hidden) throw error
  } finally {
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', onHidden)
  }
}

/** Resolves when the page can be seen. */
function seen(): Promise<void> {
  if (!document.hidden) return Promise.resolve()
  return new Promise((resolve) => {
    const onChange = (): void => {
      if (document.hidden) return
      document.removeEventListener('visibilitychange', onChange)
      resolve()
    }
    document.addEventListener('visibilitychange', onChange)
  })
}
