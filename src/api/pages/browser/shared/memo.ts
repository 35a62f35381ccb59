import { Component, type ComponentChild, type FunctionComponent, h } from 'preact'

/**
 * A component that is drawn again only when one of its properties, or of those that `matter`, is another one than
 * before.
 */
export function memo<P extends object>(
  draw: FunctionComponent<P>,
  matter?: readonly (keyof P)[],
): FunctionComponent<P> {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      const keys = matter ?? (Object.keys({ ...this.props, ...next }) as (keyof P)[])
      return keys.some((key) => this.props[key] !== next[key])
    }

    override render(): ComponentChild {
      return h(draw, this.props as never)
    }
  }
  return Memo as unknown as FunctionComponent<P>
}
