import type { VNode } from 'preact'
import { blocksText, duration, plural, serveCommand, serverName } from '../../shared/format.ts'
import { html } from '../../shared/html.ts'
import { Icon } from '../../shared/icons.ts'
import { swarm } from '../../shared/live-swarm.ts'
import type { AnswerFacts, Incident } from '../model/conversation.ts'
import { baseOf } from '../model/models.ts'

/** What an answer met on its way: servers that were lost and replaced, waits, and why it failed. */
export function Incidents({ facts }: { readonly facts: AnswerFacts }): VNode {
  const { model, incidents, error, state, finish, waits } = facts
  const isWaiting = state === 'streaming' && waits === true
  return html`<div class="incidents">
    ${incidents.map((incident, i) => {
      const isNow = isWaiting && i === incidents.findLastIndex(({ kind }) => kind === 'waiting')
      return html`<${IncidentLine} incident=${incident} isNow=${isNow} />`
    })}
    ${error !== undefined && html`<${Failure} error=${error} model=${model} />`}
    ${state === 'stopped' && html`<p class="incident quiet">Stopped.</p>`}
    ${state === 'done' && finish === 'length' && html`<p class="incident quiet">The limit of tokens was reached.</p>`}
  </div>`
}

function IncidentLine({ incident, isNow }: { readonly incident: Incident; readonly isNow: boolean }): VNode {
  if (incident.kind === 'recovery') {
    const { lost, seconds, replayed } = incident
    const names = lost.map(nameOf).join(' and ')
    const cost = replayed > 0 ? `, ${plural(replayed, 'token')} computed again` : ''
    const what = names === '' ? html`The chain was repaired` : html`<strong>${names}</strong> was lost and replaced`
    return html`<p class="incident recovery">
      <${Icon} name="retry" />
      <span>${what} within ${duration(seconds)}${cost}.</span>
    </p>`
  }
  const what =
    incident.missingBlocks.length > 0 ? `a server with blocks ${blocksText(incident.missingBlocks)}` : 'servers'
  return html`<p class=${`incident ${isNow ? 'warning' : 'quiet'}`}>
    <${Icon} name="warning" />
    <span>${isNow ? `Waiting for ${what}…` : `It had to wait for ${what}.`}</span>
  </p>`
}

interface FailureProps {
  readonly error: NonNullable<AnswerFacts['error']>
  readonly model: string
}

function Failure({ error, model }: FailureProps): VNode {
  const { message, missingBlocks } = error
  const why =
    missingBlocks.length === 0
      ? html`<p>${message}</p>`
      : html`<${Missing} model=${baseOf(model)} blocks=${blocksText(missingBlocks)} />`
  return html`<div class="incident failure" role="alert">
    <${Icon} name="warning" />
    <div>${why}</div>
  </div>`
}

function Missing({ model, blocks }: { readonly model: string; readonly blocks: string }): VNode {
  const command = html`<code>${serveCommand(model, blocks.split(',', 1)[0]!)}</code>`
  const link = html`<a href="./swarm">Look at the swarm</a>`
  return html`<p><strong>No server holds blocks ${blocks}.</strong></p>
    <p>The model cannot be computed until one does. ${link}, or serve them: ${command}</p>`
}

/** A peer's name, as far as its server is still known. */
function nameOf(peerId: string): string {
  const servers = swarm.value?.models.flatMap(({ servers }) => servers) ?? []
  return serverName(peerId, servers.find((server) => server.peerId === peerId)?.name)
}
