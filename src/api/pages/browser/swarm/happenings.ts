import { useEffect, useState } from 'preact/hooks'
import type { VNode } from 'preact'
import type { Happening, ServerName } from '../../../swarm-view/snapshot.ts'
import { ago, duration, plural, serverName } from '../shared/format.ts'
import { html } from '../shared/html.ts'

interface HappeningsProps {
  readonly happenings: readonly Happening[]
  /** Whether there are several models, so that it must be said which is meant. */
  readonly namesModels: boolean
}

/** What has happened of late, the latest first. */
export function Happenings({ happenings, namesModels }: HappeningsProps): VNode {
  const [now, setNow] = useState(Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [])
  return html`<section class="card" aria-labelledby="happenings">
    <h2 id="happenings">What has happened</h2>
    ${
      happenings.length === 0
        ? html`<p class="quiet">Nothing since this node began to look.</p>`
        : html`<ol class="happenings" tabindex="0">
            ${happenings.map((each) => {
              const { text, tone } = told(each)
              return html`<li key=${`${each.at} ${text}`}>
                <span class=${`dot ${tone}`}></span>
                <span>${text}${namesModels && html` <span class="quiet">(${each.model})</span>`}</span>
                <time datetime=${new Date(each.at).toISOString()} title=${new Date(each.at).toLocaleString()}>
                  ${ago((Math.max(now, each.at) - each.at) / 1000)}
                </time>
              </li>`
            })}
          </ol>`
    }
  </section>`
}

function told(happening: Happening): { readonly text: string; readonly tone: string } {
  switch (happening.kind) {
    case 'joined':
      return { text: `${nameOf(happening.server)} joined with blocks ${happening.blocks}`, tone: 'good' }
    case 'returned':
      return { text: `${nameOf(happening.server)} answers again`, tone: 'good' }
    case 'left':
      return { text: `${nameOf(happening.server)} left`, tone: '' }
    case 'vanished':
      return { text: `${nameOf(happening.server)} does not answer any more`, tone: 'bad' }
    case 'moved':
      return { text: `${nameOf(happening.server)} moved from ${happening.from} to ${happening.blocks}`, tone: '' }
    case 'state':
      return { text: `${nameOf(happening.server)} is ${happening.state.toLowerCase()}`, tone: '' }
    case 'uncovered':
      return { text: `Nobody holds blocks ${happening.blocks}`, tone: 'bad' }
    case 'covered':
      return { text: `Blocks ${happening.blocks} are held again`, tone: 'good' }
    case 'waiting': {
      const what = happening.blocks === '' ? 'servers' : `blocks ${happening.blocks}`
      return { text: `An answer waits for ${what}`, tone: 'warning' }
    }
    case 'recovery': {
      const { lost, seconds, replayedTokens } = happening
      const what = lost.length === 0 ? 'An answer was repaired' : `An answer lost ${lost.map(nameOf).join(' and ')}`
      const cost = replayedTokens === 0 ? '' : `, ${plural(replayedTokens, 'token')} computed again`
      return { text: `${what} and went on after ${duration(seconds)}${cost}`, tone: 'warning' }
    }
  }
}

function nameOf({ peerId, name }: ServerName): string {
  return serverName(peerId, name)
}
