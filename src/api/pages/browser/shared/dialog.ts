import type { ComponentChildren, VNode } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { html } from './html.ts'

export interface DialogProps {
  readonly isOpen: boolean
  readonly label: string
  readonly class: string
  readonly onClose: () => void
  readonly children?: ComponentChildren
}

/** A modal dialog: the browser keeps the focus in it, and gives it back. A click beside it and Escape close it. */
export function Dialog({ isOpen, label, class: name, onClose, children }: DialogProps): VNode {
  const ref = useRef<HTMLDialogElement>(null)
  useLayoutEffect(() => {
    if (isOpen) ref.current?.showModal()
    else ref.current?.close()
  }, [isOpen])
  // A dialog that its owner closes says nothing: only what the user does counts.
  const onCancel = (event: Event): void => {
    event.preventDefault()
    onClose()
  }
  const onClick = (event: MouseEvent): void => {
    if (event.target === ref.current) onClose()
  }
  return html`<dialog ref=${ref} class=${name} aria-label=${label} onCancel=${onCancel} onClick=${onClick}>
    ${isOpen && html`<div class="dialog-body">${children}</div>`}
  </dialog>`
}
