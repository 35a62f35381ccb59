import type { VNode } from 'preact'
import type { ModelSnapshot, ServerSnapshot } from '../../../swarm-view/snapshot.ts'
import { serverName } from '../shared/format.ts'
import { html } from '../shared/html.ts'
import { lanesOf, runsOf, ticksOf } from './lanes.ts'
import { pointed } from './selection.ts'
import { rateText, stateOf } from './words.ts'

const MAX_TICKS = 12

/** Blocks from left to right, servers as bars over the blocks that they hold; holes go through all of it in red. */
export function BlockMap({ model }: { readonly model: ModelSnapshot }): VNode {
  const { numBlocks, servers, rates } = model
  const fastest = Math.max(0, ...servers.map(({ throughput }) => throughput))
  const lanes = lanesOf(servers)
  const columns = { gridTemplateColumns: `repeat(${numBlocks}, minmax(0, 1fr))` }
  const holes = runsOf(model.holders.map((count) => count === 0)).filter(({ value }) => value)
  return html`<div class="map" onKeyDown=${moveFocus}>
    <div class="map-axis" style=${columns} aria-hidden="true">
      ${ticksOf(numBlocks, MAX_TICKS).map((tick) => {
        const column = tick === numBlocks ? `${tick} / span 1` : `${tick + 1} / span 1`
        return html`<span key=${tick} class=${tick === numBlocks ? 'last' : ''} style=${{ gridColumn: column }}
          >${tick}</span
        >`
      })}
    </div>
    <div class="map-lanes">
      <div class="map-holes" style=${columns} aria-hidden="true">
        ${holes.map(
          ({ start, end }) =>
            html`<div key=${start} class="hole" style=${{ gridColumn: `${start + 1} / ${end + 1}` }}></div>`,
        )}
      </div>
      <ul>
        ${lanes.map(
          (lane, i) =>
            html`<li key=${i} class="lane">
              <ul style=${columns}>
                ${lane.map(
                  (server, j) =>
                    html`<${Bar}
                      key=${server.peerId}
                      server=${server}
                      fastest=${fastest}
                      isFirst=${i === 0 && j === 0}
                    />`,
                )}
              </ul>
            </li>`,
        )}
      </ul>
      ${servers.length === 0 && html`<p class="map-empty">Nobody serves this model yet.</p>`}
    </div>
    <${Cover} numBlocks=${numBlocks} holders=${model.holders} rates=${rates} />
  </div>`
}

interface BarProps {
  readonly server: ServerSnapshot
  readonly fastest: number
  readonly isFirst: boolean
}

function Bar({ server, fastest, isFirst }: BarProps): VNode {
  const { peerId, name, start, end, throughput, isOwn } = server
  const { text, tone } = stateOf(server)
  const shownName = serverName(peerId, name)
  const label = `${shownName}, blocks ${start}:${end}, ${text}, ${rateText(throughput)} tokens per second`
  const point = (): void => {
    pointed.value = peerId
  }
  const style = {
    gridColumn: `${start + 1} / ${end + 1}`,
    '--speed': fastest === 0 ? '0' : String(Math.sqrt(throughput / fastest)),
  }
  return html`<li style=${style} class=${`bar ${tone} ${isOwn ? 'own' : ''}`} data-pointed=${pointed.value === peerId}>
    <a
      href=${`#server-${peerId}`}
      tabindex=${isFirst ? 0 : -1}
      aria-label=${label}
      title=${label}
      onMouseEnter=${point}
      onMouseLeave=${unpoint}
      onFocus=${point}
      onBlur=${unpoint}
      onClick=${goToRow}
    >
      <span>${shownName}</span>
    </a>
  </li>`
}

interface CoverProps {
  readonly numBlocks: number
  readonly holders: readonly number[]
  readonly rates: readonly number[]
}

/** How many servers hold each block: runs of blocks with the same number are one cell. */
function Cover({ numBlocks, holders, rates }: CoverProps): VNode {
  const most = Math.max(1, ...holders)
  const columns = { gridTemplateColumns: `repeat(${numBlocks}, minmax(0, 1fr))` }
  return html`<div class="cover">
    <ul style=${columns} aria-label="Servers that hold each block">
      ${runsOf(holders).map(({ start, end, value }) => {
        const rate = Math.min(...rates.slice(start, end))
        const what = value === 0 ? 'held by nobody' : `held by ${value}, ${rateText(rate)} tokens per second together`
        const label = `Blocks ${start}:${end} ${what}`
        const style = { gridColumn: `${start + 1} / ${end + 1}`, '--share': String(value / most) }
        return html`<li key=${start} class=${value === 0 ? 'none' : ''} style=${style} title=${label}>
          <span class="off-screen">${label}</span><span aria-hidden="true">${value}</span>
        </li>`
      })}
    </ul>
  </div>`
}

function unpoint(): void {
  pointed.value = undefined
}

/** Shows the server's row in the table, without touching the address. */
function goToRow(event: MouseEvent): void {
  event.preventDefault()
  const id = (event.currentTarget as HTMLAnchorElement).hash.slice(1)
  const row = document.getElementById(id)
  row?.scrollIntoView({ block: 'nearest', behavior: 'smooth' })
  row?.focus({ preventScroll: true })
}

/** The map is one stop of the Tab key; arrows go from server to server. */
function moveFocus(event: KeyboardEvent): void {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key]
  if (by === undefined) return
  const bars = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>('.bar a')]
  const next = bars[bars.indexOf(document.activeElement as HTMLElement) + by]
  if (next === undefined) return
  event.preventDefault()
  next.focus()
}
