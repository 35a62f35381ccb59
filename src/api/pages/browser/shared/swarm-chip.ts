import type { VNode } from 'preact'
import { html } from './html.ts'
import { plural } from './format.ts'
import { swarm } from './live-swarm.ts'

/** In a few words whether a model can be computed just now; leads to the swarm's page. */
export function SwarmChip({ model }: { readonly model: string | undefined }): VNode | null {
  const snapshot = swarm.value
  if (snapshot === undefined) return null
  const shown = snapshot.models.find(({ id }) => id === model) ?? snapshot.models[0]
  if (shown === undefined) return null
  const { numBlocks, missing, servers } = shown
  const [tone, text] =
    missing.length === 0
      ? ['good', `${plural(servers.length, 'server')}, all ${numBlocks} blocks`]
      : ['bad', `blocks ${missing.join(', ')} missing`]
  return html`<a class="chip" href="./swarm"
    ><span class=${`dot ${tone}`}></span><span class="chip-text">${text}</span></a
  >`
}
