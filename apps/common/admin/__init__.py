"""What all admin pages share, knowing no context: drawing, opaque references, lists, record pages, buttons.

Contexts import from here by module: `from apps.common.admin import drawing, pages`.
"""
