import type { CurvePoint } from './curve-point.ts'

const [WIDTH, HEIGHT] = [720, 400]
const MARGIN = { left: 64, right: 20, top: 48, bottom: 48 }
const TICKS = 5

/** What a colour is on light and on dark ground. */
const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #333 }
  .title { font-weight: 600 }
  .grid { stroke: #ddd }
  .step { stroke: #8fb3e0; fill: none }
  .mean { stroke: #1f5fbf; stroke-width: 2; fill: none }
  .eval { stroke: #c2410c; stroke-width: 2; fill: none }
  circle { fill: #c2410c }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd }
    .grid { stroke: #444 }
    .step { stroke: #41618c }
    .mean { stroke: #7db1ff }
    .eval { stroke: #ff9a5c }
    circle { fill: #ff9a5c }
  }`

interface Place {
  readonly x: number
  readonly y: number
}

/** A loss curve as SVG: the loss of each step, its running mean, and the held-out loss where there is one. */
export function lossChart(title: string, points: readonly CurvePoint[]): string {
  const trained = points.flatMap(({ step, loss }) => (loss === undefined ? [] : [{ x: step, y: loss }]))
  const evaluated = points.flatMap(({ step, evalLoss }) => (evalLoss === undefined ? [] : [{ x: step, y: evalLoss }]))
  const all = [...trained, ...evaluated]
  const lastStep = Math.max(1, ...all.map(({ x }) => x))
  const ticks = ticksOf(
    all.reduce((least, { y }) => Math.min(least, y), all[0]?.y ?? 0),
    all.reduce((most, { y }) => Math.max(most, y), all[0]?.y ?? 1),
  )
  const [low, high] = [ticks[0]!, ticks.at(-1)!]
  const place = ({ x, y }: Place): Place => ({
    x: MARGIN.left + (x / lastStep) * (WIDTH - MARGIN.left - MARGIN.right),
    y: HEIGHT - MARGIN.bottom - ((y - low) / (high - low)) * (HEIGHT - MARGIN.top - MARGIN.bottom),
  })
  const path = (kind: string, places: readonly Place[]): string =>
    places.length < 2 ? '' : `<path class="${kind}" d="M${places.map((each) => text(place(each))).join('L')}"/>`
  const right = WIDTH - MARGIN.right
  const bottom = HEIGHT - MARGIN.bottom
  const rows = ticks.map((y) => {
    const at = place({ x: 0, y }).y.toFixed(1)
    return (
      `<path class="grid" d="M${MARGIN.left} ${at}H${right}"/>` +
      `<text x="${MARGIN.left - 8}" y="${at}" text-anchor="end" dominant-baseline="middle">` +
      `${Number(y.toPrecision(6))}</text>`
    )
  })
  const columns = stepTicks(lastStep).map(
    (x) => `<text x="${place({ x, y: low }).x.toFixed(1)}" y="${bottom + 20}" text-anchor="middle">${x}</text>`,
  )
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">`,
    `<title>${escaped(title)}</title><style>${STYLE}\n</style>`,
    `<text class="title" x="${MARGIN.left}" y="24">${escaped(title)}</text>`,
    ...rows,
    ...columns,
    `<text x="${(MARGIN.left + right) / 2}" y="${HEIGHT - 10}" text-anchor="middle">step</text>`,
    path('step', trained),
    path('mean', runningMean(trained)),
    path('eval', evaluated),
    ...evaluated.map(place).map(({ x, y }) => `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="3.5"/>`),
    ...legend(evaluated.length > 0, right),
    '</svg>',
    '',
  ].join('\n')
}

function legend(isEvaluated: boolean, right: number): string[] {
  const entries = [['mean', 'training loss (mean)'], ...(isEvaluated ? [['eval', 'held-out loss']] : [])]
  return entries.map(([kind, name], i) => {
    const [x, y] = [right - 170, MARGIN.top + 10 + 20 * i]
    return (
      `<path class="${kind}" d="M${x} ${y}h24"/>` +
      `<text x="${x + 32}" y="${y}" dominant-baseline="middle">${name}</text>`
    )
  })
}

/** The mean over a tenth of the steps around each. */
function runningMean(places: readonly Place[]): Place[] {
  const reach = Math.max(1, Math.floor(places.length / 20))
  return places.map(({ x }, i) => {
    const around = places.slice(Math.max(0, i - reach), i + reach + 1)
    return { x, y: around.reduce((sum, { y }) => sum + y, 0) / around.length }
  })
}

/** Round values around a range. */
function ticksOf(low: number, high: number): number[] {
  const size = Math.max(high - low, 1e-3 * Math.max(1, Math.abs(high)))
  const rough = 10 ** Math.floor(Math.log10(size / TICKS))
  const gap = rough * ([1, 2, 5, 10].find((factor) => size / (rough * factor) <= TICKS) ?? 10)
  const first = Math.floor(low / gap)
  const last = Math.max(first + 1, Math.ceil(high / gap))
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * gap)
}

function stepTicks(last: number): number[] {
  const ticks = ticksOf(0, last).filter((tick) => tick <= last && Number.isInteger(tick))
  return ticks.length > 1 ? ticks : [0, last]
}

function text({ x, y }: Place): string {
  return `${x.toFixed(1)} ${y.toFixed(1)}`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
