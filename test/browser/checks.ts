import type { Page } from 'playwright-core'

/** Colour as red, green, blue from 0 to 255, and opacity. */
type Colour = readonly [number, number, number, number]

// What is evaluated in a page knows nothing of this module, so all that it uses stands in it.
/* oxlint-disable unicorn/consistent-function-scoping */

/** What stands in the way of people who do not see, point or read as others do; empty where nothing does. */
export function accessibilityFaults(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const faults: string[] = []
    const isShown = (element: Element): boolean => {
      const { width, height } = element.getBoundingClientRect()
      return width > 1 && height > 1 && element.checkVisibility({ opacityProperty: true, visibilityProperty: true })
    }
    const nameOf = (element: Element): string =>
      element.getAttribute('aria-label') ??
      ((element as HTMLInputElement).labels?.length ? (element as HTMLInputElement).labels![0]!.textContent : null) ??
      element.textContent ??
      ''
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true })!
    const colourOf = (text: string): Colour => {
      canvas.clearRect(0, 0, 1, 1)
      canvas.fillStyle = text
      canvas.fillRect(0, 0, 1, 1)
      const [r = 0, g = 0, b = 0, a = 0] = canvas.getImageData(0, 0, 1, 1).data
      return [r, g, b, a / 255]
    }
    const over = ([r, g, b, a]: Colour, [r2, g2, b2]: Colour): Colour => [
      r * a + r2 * (1 - a),
      g * a + g2 * (1 - a),
      b * a + b2 * (1 - a),
      1,
    ]
    /** Luminance and contrast as WCAG 2 defines them. */
    const luminance = ([r, g, b]: Colour): number => {
      const [x = 0, y = 0, z = 0] = [r, g, b].map((value) => {
        const share = value / 255
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
      })
      return 0.2126 * x + 0.7152 * y + 0.0722 * z
    }
    const contrast = (a: Colour, b: Colour): number => {
      const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y)
      return (high + 0.05) / (low + 0.05)
    }
    const groundOf = (element: Element | null): Colour => {
      if (element === null) return [255, 255, 255, 1]
      const { backgroundColor, backgroundImage } = getComputedStyle(element)
      // What stands on a pattern is judged by the first of its colours.
      const first = /(?:rgba?|color|oklab|oklch)\([^)]*\)/.exec(backgroundImage)?.[0]
      const own = colourOf(first ?? backgroundColor)
      return own[3] === 1 ? own : over(own, groundOf(element.parentElement))
    }

    if (document.documentElement.lang === '') faults.push('the page names no language')
    if (document.querySelectorAll('main').length !== 1) faults.push('there is not one main')
    for (const element of document.querySelectorAll('button, a[href], input, select, textarea, summary')) {
      if (!isShown(element)) continue
      const what = element.outerHTML.slice(0, 100)
      if (nameOf(element).trim() === '') faults.push(`no name: ${what}`)
      const { width, height } = element.getBoundingClientRect()
      // Links in text, and bars of the map, whose rows in the table do the same (WCAG 2.2, 2.5.8).
      const isExempt = element.matches('p a, .block a, .bar a, input[type=checkbox]')
      if (!isExempt && (width < 24 || height < 22)) faults.push(`too small to hit (${width} x ${height}): ${what}`)
    }
    for (const image of document.querySelectorAll('svg:not([aria-hidden]), img:not([alt])'))
      faults.push(`no text for ${image.outerHTML.slice(0, 80)}`)
    const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id)
    for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push(`two have the id ${id}`)
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    for (let node = texts.nextNode(); node !== null; node = texts.nextNode()) {
      const element = node.parentElement!
      if (node.textContent!.trim() === '' || !isShown(element) || element.closest(':disabled, .off-screen') !== null)
        continue
      const ground = groundOf(element)
      const ratio = contrast(over(colourOf(getComputedStyle(element).color), ground), ground)
      if (ratio < 4.5) faults.push(`contrast ${ratio.toFixed(2)}: ${node.textContent!.trim().slice(0, 60)}`)
    }
    const { scrollWidth } = document.documentElement
    // A phone shows all of a page that is too wide, in a window that has grown with it; its screen has not.
    const width = Math.min(innerWidth, screen.width)
    if (scrollWidth > width) faults.push(`the page is ${scrollWidth} wide in a window of ${width}`)
    return faults
  })
}
